package nitro
import "context"
type ioctler interface{}
func (b Backend) allocate(ctx context.Context, s spec) (machine, error) { panic(1) }
