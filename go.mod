module github.com/secgear/secgear

go 1.26.0

require (
	github.com/google/go-configfs-tsm v0.3.3
	github.com/google/go-tpm v0.9.8
	github.com/rogpeppe/go-internal v1.16.0
	golang.org/x/net v0.62.0
	golang.org/x/sys v0.49.0
)

require (
	github.com/google/uuid v1.6.0 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/tools v0.26.0 // indirect
)
