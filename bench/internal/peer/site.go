package peer

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/secgear/secgear/bench/internal/drive"
	"github.com/secgear/secgear/examples/https/site"
)

const (
	siteServer = "https server"
	siteClient = "https client"

	// SitePort is the work of a process with a web site that tells its TCP port.
	SitePort = "port"
	// Requests is the work of a client: Callers connections ask for the page.
	Requests = "requests"
)

// portVariable tells a client the port of its site.
const portVariable = "SECGEAR_BENCH_PORT"

// SiteServer starts the example's web site, outside of any enclave.
func SiteServer(cpus []int) (*drive.Process, error) {
	return drive.Start(siteServer, Self(siteServer), cpus)
}

// SiteClient starts a client of the site at port on this machine.
func SiteClient(name string, port int, cpus []int) (*drive.Process, error) {
	cmd := Self(siteClient)
	cmd.Env = append(cmd.Env, portVariable+"="+strconv.Itoa(port))
	return drive.Start(name, cmd, cpus)
}

// runSiteServer serves until standard input ends.
func runSiteServer() error {
	server, _, err := site.Server("Hello from outside. TEE: none, image: "+fmt.Sprintf("%064x", 0), time.Now(), log.Default())
	if err != nil {
		return err
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	go server.ServeTLS(ln, "", "") // until we end
	return drive.Serve(os.Stdin, os.Stdout, map[string]drive.Work{
		SitePort: func(time.Duration) ([]float64, error) {
			return []float64{float64(ln.Addr().(*net.TCPAddr).Port)}, nil
		},
	})
}

// runSiteClient asks for the page as its driver asks it to. Whose certificate
// it is is not what is measured.
func runSiteClient() error {
	url := "https://" + net.JoinHostPort("127.0.0.1", os.Getenv(portVariable)) + "/"
	client := &http.Client{Transport: &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true},
		MaxIdleConnsPerHost: Callers,
	}}
	get := func(_, n int) error {
		for range n {
			r, err := client.Get(url)
			if err != nil {
				return err
			}
			page, err := io.ReadAll(r.Body)
			r.Body.Close()
			if err != nil {
				return err
			}
			if r.StatusCode != http.StatusOK || len(page) == 0 {
				return errors.New("not the page: " + r.Status)
			}
		}
		return nil
	}
	return drive.Serve(os.Stdin, os.Stdout, map[string]drive.Work{
		Requests: drive.Together(Callers, 4, get),
	})
}
