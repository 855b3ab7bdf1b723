package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"embed"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"text/template"
	"time"
)

//go:embed apps
var apps embed.FS

// place is where a server runs.
type place struct {
	Dir, Log      string
	Port, Backend int
	TLS           bool
}

// running is a server that runs.
type running struct {
	place
	backend *backend
	roots   *x509.CertPool // nil without TLS
	cmds    []*exec.Cmd
	ended   chan error // of each of cmds
}

// start starts a server and waits until it answers. Its stop must be called.
func start(ctx context.Context, s server) (_ *running, err error) {
	if err := s.missing(); err != nil {
		return nil, err
	}
	r := &running{ended: make(chan error, len(s.commands))}
	defer func() {
		if err != nil {
			r.stop()
		}
	}()
	if err := r.settle(s.tls); err != nil {
		return nil, err
	}
	for _, name := range s.files {
		if err := r.write(name); err != nil {
			return nil, err
		}
	}
	if s.before != nil {
		cmd, err := r.command(&s, s.before)
		if err != nil {
			return nil, err
		}
		if said, err := cmd.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", s.before[0], err, said)
		}
	}
	for _, command := range s.commands {
		if err := r.execute(&s, command); err != nil {
			return nil, err
		}
	}
	return r, r.await(ctx)
}

// settle finds a folder, a port and a receiver. The folder is for servers, too, that give up the rights of
// root.
func (r *running) settle(secure bool) (err error) {
	if r.Dir, err = os.MkdirTemp("", "alot-servers-"); err != nil {
		return err
	}
	if err := os.Chmod(r.Dir, 0o777); err != nil {
		return err
	}
	r.Log = filepath.Join(r.Dir, "received")
	if err := os.WriteFile(r.Log, nil, 0o666); err != nil {
		return err
	}
	if err := os.Chmod(r.Log, 0o666); err != nil {
		return err
	}
	if r.backend, err = newBackend(r.Log); err != nil {
		return err
	}
	r.Backend = r.backend.port()
	if secure {
		if err := r.writeCertificate(); err != nil {
			return err
		}
	}
	free, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		return err
	}
	r.Port = free.Addr().(*net.TCPAddr).Port
	return free.Close()
}

// writeCertificate writes that of package httptest, with its key, as one file.
func (r *running) writeCertificate() error {
	model := httptest.NewTLSServer(nil)
	defer model.Close()
	pair := model.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(pair.PrivateKey)
	if err != nil {
		return err
	}
	r.TLS, r.roots = true, x509.NewCertPool()
	r.roots.AddCert(model.Certificate())
	both := append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: pair.Certificate[0]}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
	return os.WriteFile(filepath.Join(r.Dir, "both.pem"), both, 0o600)
}

// write writes a file of the folder apps.
func (r *running) write(name string) error {
	text, err := apps.ReadFile("apps/" + name)
	if err != nil {
		return err
	}
	form, err := template.New(name).Parse(string(text))
	if err != nil {
		return err
	}
	var out bytes.Buffer
	if err := form.Execute(&out, r.place); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(r.Dir, name), out.Bytes(), 0o644)
}

// command is a command of a server, in the server's folder.
func (r *running) command(s *server, command []string) (*exec.Cmd, error) {
	program, err := s.find(command[0])
	if err != nil {
		return nil, err
	}
	fill := strings.NewReplacer("{PORT}", strconv.Itoa(r.Port), "{DIR}", r.Dir)
	args := make([]string, len(command)-1)
	for i, arg := range command[1:] {
		args[i] = fill.Replace(arg)
	}
	cmd := exec.Command(program, args...)
	cmd.Dir = r.Dir
	cmd.Env = append(os.Environ(), "ALOT_LOG="+r.Log, "PORT="+strconv.Itoa(r.Port), "PYTHONPATH="+r.Dir, "HOME="+r.Dir)
	return cmd, nil
}

// execute starts a program in a process group of its own.
func (r *running) execute(s *server, command []string) error {
	cmd, err := r.command(s, command)
	if err != nil {
		return err
	}
	said, err := os.OpenFile(filepath.Join(r.Dir, "said"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	defer said.Close()
	cmd.Stdout, cmd.Stderr = said, said
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return err
	}
	r.cmds = append(r.cmds, cmd)
	go func() { r.ended <- cmd.Wait() }()
	return nil
}

// address is that of the server.
func (r *running) address() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(r.Port)) }

// scheme is that of the server's URL.
func (r *running) scheme() string {
	if r.TLS {
		return "https"
	}
	return "http"
}

const patience = 30 * time.Second

// await waits until the receiver behind the server answers.
func (r *running) await(ctx context.Context) error {
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: r.roots}, DisableKeepAlives: true}
	client := &http.Client{Transport: transport, Timeout: patience}
	for until := time.Now().Add(patience); ; {
		resp, err := client.Post(r.scheme()+"://"+r.address()+"/", "application/json", strings.NewReader("{}"))
		if err == nil {
			_ = resp.Body.Close()
			if resp.StatusCode == http.StatusNoContent {
				return nil
			}
			err = errors.New(resp.Status)
		}
		select {
		case <-r.ended:
			return fmt.Errorf("it ended: %s", r.lastWords())
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
		if time.Now().After(until) {
			return fmt.Errorf("it does not answer: %w: %s", err, r.lastWords())
		}
	}
}

// lastWords is the end of what the server has printed.
func (r *running) lastWords() string {
	said, _ := os.ReadFile(filepath.Join(r.Dir, "said"))
	return strings.ReplaceAll(string(said[max(0, len(said)-500):]), "\n", " ")
}

// stop ends the server with its helpers, and removes its folder.
func (r *running) stop() {
	for _, cmd := range r.cmds {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	}
	for range r.cmds {
		select {
		case <-r.ended:
		case <-time.After(patience):
		}
	}
	if r.backend != nil {
		r.backend.stop()
	}
	if r.Dir != "" {
		_ = os.RemoveAll(r.Dir)
	}
}
