package cpu

import (
	"fmt"
	"os"
	"strings"
)

// Pair picks two of the allowed processors that are different cores of one
// package, so that they share no more than a cache.
func Pair(allowed []int) (a, b int, err error) {
	if len(allowed) < 2 {
		return 0, 0, fmt.Errorf("two processors are needed to compare calls between processes; this process may use %d", len(allowed))
	}
	a = allowed[0]
	for _, c := range allowed[1:] {
		if topology(c, "core_id") != topology(a, "core_id") && topology(c, "physical_package_id") == topology(a, "physical_package_id") {
			return a, c, nil
		}
	}
	return a, allowed[1], nil
}

// topology reads what the kernel says about processor c, "" if nothing.
func topology(c int, what string) string {
	b, err := os.ReadFile(fmt.Sprintf("/sys/devices/system/cpu/cpu%d/topology/%s", c, what))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
