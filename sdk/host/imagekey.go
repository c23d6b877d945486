package host

import (
	"context"
	"errors"
	"fmt"

	"github.com/secgear/secgear/sdk/image"
	"github.com/secgear/secgear/sdk/image/imagefile"
	"github.com/secgear/secgear/sdk/tee"
)

// ErrNoKey: the key of an encrypted image was not to be had.
var ErrNoKey = errors.New("no key for the encrypted image")

// KeyRequest is what Options.ImageKey is asked for: a key, and what will be done
// with it. Who decides over keys looks at all of it. The signature says that
// Identity.Signer vouches for the image, not that its signer ever had the key;
// and in the simulation ("sim") whoever owns the machine reads the program.
type KeyRequest struct {
	Key      image.KeyID  // of the key that the image was encrypted with
	Identity tee.Identity // what is to be launched
	TEE      string       // name of the TEE that it is launched in
}

// KeyFile returns a function for Options.ImageKey that reads the key from the
// named file when it is asked for; see [imagefile.ReadKey].
func KeyFile(name string) func(context.Context, KeyRequest) (image.Key, error) {
	return func(context.Context, KeyRequest) (image.Key, error) { return imagefile.ReadKey(name) }
}

// imageKey returns the function for tee.LaunchConfig.ImageKey. Its errors name
// the image and the key, and match [ErrNoKey], the end of ctx and [imagefile.ErrKey]
// aside.
func (o Options) imageKey(want KeyRequest) func(context.Context) (image.Key, error) {
	return func(ctx context.Context) (image.Key, error) {
		key, err := o.askForKey(ctx, want)
		if err != nil {
			return image.Key{}, fmt.Errorf("getting key %v of encrypted image %s: %w", want.Key, want.Identity.Manifest.Name, err)
		}
		return key, nil
	}
}

func (o Options) askForKey(ctx context.Context, want KeyRequest) (image.Key, error) {
	if o.ImageKey == nil {
		return image.Key{}, fmt.Errorf("%w: neither Options.ImageKey nor SECGEAR_IMAGE_KEY is set", ErrNoKey)
	}
	key, err := within(ctx, func() (image.Key, error) { return o.ImageKey(ctx, want) })
	switch {
	case err != nil && ctx.Err() != nil:
		return image.Key{}, context.Cause(ctx)
	case err != nil:
		key.Wipe()
		return image.Key{}, fmt.Errorf("%w: %w", ErrNoKey, err)
	case key.IsZero():
		return image.Key{}, fmt.Errorf("%w: Options.ImageKey returned none", ErrNoKey)
	}
	if id := imagefile.KeyIDOf(key); id != want.Key {
		key.Wipe()
		return image.Key{}, fmt.Errorf("%w: what was returned has the ID %v", imagefile.ErrKey, id)
	}
	return key, nil
}

// within returns what ask does, or at the end of ctx its error; a key that comes
// later is wiped.
func within(ctx context.Context, ask func() (image.Key, error)) (image.Key, error) {
	type answer struct {
		key image.Key
		err error
	}
	answered := make(chan answer) // unbuffered: an answer is taken or refused
	go func() {
		key, err := ask()
		select {
		case answered <- answer{key, err}:
		case <-ctx.Done():
			key.Wipe()
		}
	}()
	select {
	case a := <-answered:
		return a.key, a.err
	case <-ctx.Done():
		return image.Key{}, ctx.Err()
	}
}
