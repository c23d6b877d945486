module github.com/secgear/secgear/bench

go 1.26.0

require (
	github.com/secgear/secgear v0.0.0
	golang.org/x/sys v0.49.0
	google.golang.org/grpc v1.85.0
)

require (
	github.com/google/go-configfs-tsm v0.3.3 // indirect
	github.com/google/go-tpm v0.9.8 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	golang.org/x/net v0.62.0 // indirect
	golang.org/x/text v0.43.0 // indirect
	google.golang.org/genproto/googleapis/rpc v0.0.0-20260817212433-ac3dfec99bb1 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)

replace github.com/secgear/secgear => ..
