// This file lets the package declare functions without a body (fork_linux.go).
