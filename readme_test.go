package secgear_test

import (
	"os"
	"strings"
	"testing"

	"github.com/secgear/secgear/sdk/tee/all"
)

// TestReadmeNamesTEEs: README's table and docs/tees.md name every TEE that there is
// a backend for.
func TestReadmeNamesTEEs(t *testing.T) {
	for _, page := range []string{"README.md", "docs/tees.md"} {
		text, err := os.ReadFile(page)
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all.Backends() {
			if b.Name() == "gramine-direct" && page == "README.md" {
				continue // of `sgx` without SGX: it has no row
			}
			if !strings.Contains(string(text), "`"+b.Name()+"`") {
				t.Errorf("%s does not name %s", page, b.Name())
			}
		}
	}
}
