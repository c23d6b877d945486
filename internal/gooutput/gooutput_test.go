package gooutput

import (
	"path/filepath"
	"testing"
)

func TestFrom(t *testing.T) {
	said := "# example.com/demo/enclave\n./main.go:3:15: undefined: nothing\n\t./other.go:1:2: other declaration\n" +
		"../demo.go:7:1: expected ';', see ./main.go:3\nvet: ./main.go:9: x\n/usr/lib/go/src/x.go:1:1: y\ntoo many errors"
	for dir, want := range map[string]string{
		"enclave": "# example.com/demo/enclave\nenclave/main.go:3:15: undefined: nothing\n\tenclave/other.go:1:2: other declaration\n" +
			"demo.go:7:1: expected ';', see ./main.go:3\nvet: enclave/main.go:9: x\n/usr/lib/go/src/x.go:1:1: y\ntoo many errors",
		"": "# example.com/demo/enclave\nmain.go:3:15: undefined: nothing\n\tother.go:1:2: other declaration\n" +
			"../demo.go:7:1: expected ';', see ./main.go:3\nvet: main.go:9: x\n/usr/lib/go/src/x.go:1:1: y\ntoo many errors",
	} {
		if got := From(dir, said); filepath.ToSlash(got) != want {
			t.Errorf("in %q:\n%s\nwant:\n%s", dir, got, want)
		}
	}
}
