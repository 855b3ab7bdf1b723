package postgrestest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// patience is for how many seconds pg_ctl waits: a last resort for a server that
// hangs, and no measure of how fast the machine is.
const patience = "600"

// Cluster is a temporary PostgreSQL server.
type Cluster struct {
	bin, dir, data string
	port           int
	credential     *syscall.Credential
	primary        *Cluster // nil unless this one is its standby
	watchdog       *exec.Cmd
	lifeline       io.Closer
}

// Start makes a cluster and starts it. settings are lines for postgresql.conf.
// Should the process die without [Cluster.Close], the server ends all the same.
func Start(settings ...string) (*Cluster, error) {
	bin, err := binaries()
	if err != nil {
		return nil, err
	}
	c := &Cluster{bin: bin}
	if err := c.create(settings); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// Standby starts a second server that streams from this one.
func (c *Cluster) Standby(settings ...string) (*Cluster, error) {
	standby := &Cluster{bin: c.bin, primary: c}
	if err := standby.create(settings); err != nil {
		standby.Close()
		return nil, err
	}
	return standby, nil
}

// Promote makes a standby take writes, and waits until it does.
func (c *Cluster) Promote() error {
	return c.run("pg_ctl", "-D", c.data, "-w", "-t", patience, "promote")
}

func (c *Cluster) create(settings []string) (err error) {
	if c.credential, err = unprivileged(); err != nil {
		return err
	}
	if c.dir, err = os.MkdirTemp("", "alotpg"); err != nil {
		return err
	}
	if c.credential != nil {
		if err := os.Chown(c.dir, int(c.credential.Uid), int(c.credential.Gid)); err != nil {
			return err
		}
	}
	c.data = filepath.Join(c.dir, "data")
	if err := c.makeData(); err != nil {
		return err
	}
	if err := c.configure(settings); err != nil {
		return err
	}
	if err := c.watch(); err != nil {
		return err
	}
	return c.startOnFreePort()
}

// startOnFreePort tries another port where somebody else took the first one
// before the server could.
func (c *Cluster) startOnFreePort() (err error) {
	for range 5 {
		if c.port, err = freePort(); err != nil {
			return err
		}
		if err = c.set(fmt.Sprintf("port = %d", c.port)); err != nil {
			return err
		}
		if err = c.Start(); err == nil || !strings.Contains(c.Log(), "Address already in use") {
			return err
		}
	}
	return err
}

func (c *Cluster) makeData() error {
	if c.primary != nil {
		return c.run("pg_basebackup", "-d", c.primary.DSN(), "-D", c.data, "-R", "-X", "stream", "-c", "fast")
	}
	return c.run("initdb", "-D", c.data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-instructions")
}

func (c *Cluster) configure(settings []string) error {
	return c.set(append([]string{
		"listen_addresses = '127.0.0.1'",
		fmt.Sprintf("unix_socket_directories = '%s'", c.dir),
		"max_connections = 200",
		"shared_buffers = 512MB",
		"max_wal_size = 4GB",
		"log_min_messages = warning",
	}, settings...)...)
}

// set adds lines to the configuration; the last one of a name holds.
func (c *Cluster) set(lines ...string) error {
	conf, err := os.OpenFile(filepath.Join(c.data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = conf.WriteString(strings.Join(lines, "\n") + "\n")
	return errors.Join(err, conf.Close())
}

// watch starts a shell that stops the server when this process ends, even by a
// kill: the shell reads from a pipe, which ends then.
func (c *Cluster) watch() (err error) {
	c.watchdog = exec.Command("sh", "-c", `read _; "$1" -D "$2/data" -m immediate stop; rm -rf "$2"`, "sh", c.tool("pg_ctl"), c.dir)
	c.watchdog.Dir = c.dir
	c.watchdog.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential, Setpgid: true} // not killed by Ctrl-C
	if c.lifeline, err = c.watchdog.StdinPipe(); err != nil {
		return err
	}
	return c.watchdog.Start()
}

// Start starts the server after a [Cluster.Stop] and waits until it answers.
func (c *Cluster) Start() error {
	return c.run("pg_ctl", "-D", c.data, "-l", filepath.Join(c.dir, "log"), "-w", "-t", patience, "start")
}

// Stop stops the server: mode is smart, fast or immediate, the last like a crash.
func (c *Cluster) Stop(mode string) error {
	return c.run("pg_ctl", "-D", c.data, "-m", mode, "-w", "-t", patience, "stop")
}

// Close stops the server and removes its files.
func (c *Cluster) Close() {
	if c.watchdog != nil && c.watchdog.Process != nil {
		_ = c.lifeline.Close()
		_ = c.watchdog.Wait()
	}
	if c.dir != "" {
		_ = os.RemoveAll(c.dir)
	}
}

// DSN connects as the superuser to the database postgres over loopback.
func (c *Cluster) DSN() string {
	return fmt.Sprintf("postgres://postgres@127.0.0.1:%d/postgres?sslmode=disable", c.port)
}

// Port is where the server listens on 127.0.0.1.
func (c *Cluster) Port() int { return c.port }

// Log returns what the server has logged.
func (c *Cluster) Log() string {
	log, err := os.ReadFile(filepath.Join(c.dir, "log"))
	if err != nil {
		return err.Error()
	}
	return string(log)
}

func (c *Cluster) tool(name string) string { return filepath.Join(c.bin, name) }

func (c *Cluster) run(name string, args ...string) error {
	cmd := exec.Command(c.tool(name), args...)
	cmd.Dir = c.dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: c.credential, Setpgid: true}
	output, err := os.CreateTemp("", "alotpg") // a pipe would wait for the server, which inherits it
	if err != nil {
		return err
	}
	defer os.Remove(output.Name())
	defer output.Close()
	cmd.Stdout, cmd.Stderr = output, output
	if err := cmd.Run(); err != nil {
		said, _ := os.ReadFile(output.Name())
		return fmt.Errorf("%s: %w: %s", name, err, said)
	}
	return nil
}

// binaries finds the directory of the PostgreSQL that [EnvBin] names, or of the newest one.
// Debian keeps it out of PATH.
func binaries() (string, error) {
	if dir := os.Getenv(EnvBin); dir != "" {
		if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err != nil {
			return "", fmt.Errorf("%s names a folder without pg_ctl: %w", EnvBin, err)
		}
		return dir, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/pg_ctl")
	if err == nil && len(found) > 0 {
		newest := slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })
		return filepath.Dir(newest), nil
	}
	path, err := exec.LookPath("pg_ctl")
	if err != nil {
		return "", errors.New("pg_ctl is neither in /usr/lib/postgresql nor in PATH")
	}
	if path, err = filepath.EvalSymlinks(path); err != nil {
		return "", err
	}
	return filepath.Dir(path), nil
}

func version(path string) int {
	n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return n
}

// unprivileged returns the user to run the server as if this process is root's,
// since the server refuses root; nil otherwise.
func unprivileged() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("the server does not run as root, and there is no user to run it as: %w", err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
}

// freePort draws a port on which nobody listens, below those that the system
// gives to connections: one of these could be taken while a server is stopped.
func freePort() (port int, err error) {
	const first = 10_000
	end := 32_768
	if text, err := os.ReadFile("/proc/sys/net/ipv4/ip_local_port_range"); err == nil {
		if _, err := fmt.Sscan(string(text), &end); err != nil || end <= first {
			end = 32_768
		}
	}
	for range 100 {
		port = first + rand.IntN(end-first)
		var l net.Listener
		if l, err = net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	return 0, err
}

// CPU returns the processor time that the server's processes have used, read from
// /proc. The time of those that have ended is counted with the first process.
func (c *Cluster) CPU() (time.Duration, error) {
	pidFile, err := os.ReadFile(filepath.Join(c.data, "postmaster.pid"))
	if err != nil {
		return 0, err
	}
	first, _, _ := strings.Cut(string(pidFile), "\n")
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return 0, err
	}
	var ticks int64
	for _, path := range stats {
		stat, err := os.ReadFile(path)
		if err != nil {
			continue // ended meanwhile
		}
		// The second field is the command in parentheses, which may have blanks in it.
		// fields begins with the third.
		pid, rest, _ := strings.Cut(string(stat), " ")
		fields := strings.Fields(rest[strings.LastIndex(rest, ")")+1:])
		switch {
		case pid == first:
			ticks += sum(fields[11:15]) // its own, and that of children that have ended
		case fields[1] == first:
			ticks += sum(fields[11:13])
		}
	}
	return time.Duration(ticks) * (time.Second / 100), nil
}

func sum(fields []string) (n int64) {
	for _, f := range fields {
		v, _ := strconv.ParseInt(f, 10, 64)
		n += v
	}
	return n
}
