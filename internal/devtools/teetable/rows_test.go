package main

import (
	"strings"
	"testing"
)

const said = `
{"Action":"output","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/calls/Nested","Output":"    calls.go:7: wrong\n"}
{"Action":"fail","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/calls/Nested"}
{"Action":"pass","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/calls/Calls/Do"}
{"Action":"pass","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/calls/Calls"}
{"Action":"output","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/secret_memory/S","Output":"=== RUN\n"}
{"Action":"output","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/secret_memory/S","Output":"    powers.go:1: no such call\n"}
{"Action":"skip","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/secret_memory/S"}
{"Action":"pass","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64/sealing/Unsupported"}
{"Action":"fail","Package":"x/sdk/tee/sim","Test":"TestConformance/amd64"}
{"Action":"output","Package":"x/sdk/tee/sim","Test":"TestConformance/arm64","Output":"    sim_test.go:1: no emulator\n"}
{"Action":"skip","Package":"x/sdk/tee/sim","Test":"TestConformance/arm64"}
`

func TestTable(t *testing.T) {
	rows, failed, err := read(strings.NewReader(said))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(failed, "calls.go:7: wrong") {
		t.Errorf("failed: %q", failed)
	}
	var b strings.Builder
	if err := print(&b, rows); err != nil {
		t.Fatal(err)
	}
	const want = `TEE  arch   calls           secret memory  sealing
sim  amd64  1 ok, 1 FAILED  1 skipped      unsupported
sim  arm64  -               -              -
skipped: sim/amd64: secret memory: S: no such call
sim/arm64 was not tested: no emulator
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}

func TestGarbage(t *testing.T) {
	if _, _, err := read(strings.NewReader("FAIL x [build failed]")); err == nil {
		t.Error("taken")
	}
}
