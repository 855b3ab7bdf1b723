package postgrestest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// PgBouncer starts a PgBouncer in transaction mode in front of the server of dsn and
// returns the connection string through it. It lends its clients four sessions, for
// one transaction each: anything that a client leaves behind in a session soon shows
// with another.
func PgBouncer(t testing.TB, dsn string) string {
	t.Helper()
	path, err := findPgBouncer()
	require(t, err)
	credential, err := unprivileged()
	require(t, err)
	server, err := pgx.ParseConfig(dsn)
	require(t, err)
	port, err := freePort()
	require(t, err)
	dir, err := os.MkdirTemp("", "alotbouncer")
	require(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })

	config := filepath.Join(dir, "pgbouncer.ini")
	require(t, os.WriteFile(config, []byte(bouncerConfig(server, port)), 0o644))
	if credential != nil {
		require(t, os.Chmod(dir, 0o755))
	}
	cmd := exec.Command(path, "-q", config)
	cmd.Dir = dir
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: credential}
	require(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})

	through, err := url.Parse(dsn)
	require(t, err)
	through.Host = fmt.Sprintf("127.0.0.1:%d", port)
	awaitAnswer(t, through.String())
	return through.String()
}

func findPgBouncer() (string, error) {
	if path, err := exec.LookPath("pgbouncer"); err == nil {
		return path, nil
	}
	return exec.LookPath("/usr/sbin/pgbouncer")
}

func bouncerConfig(server *pgx.ConnConfig, port int) string {
	password := ""
	if server.Password != "" {
		password = " password=" + server.Password
	}
	return strings.Join([]string{
		"[databases]",
		fmt.Sprintf("* = host=%s port=%d user=%s%s", server.Host, server.Port, server.User, password),
		"[pgbouncer]",
		"pool_mode = transaction",
		"listen_addr = 127.0.0.1",
		fmt.Sprintf("listen_port = %d", port),
		"unix_socket_dir =",
		"auth_type = any",
		"default_pool_size = 4",
		"max_client_conn = 1000",
		"ignore_startup_parameters = extra_float_digits",
	}, "\n") + "\n"
}

// awaitAnswer waits until PgBouncer takes connections.
func awaitAnswer(t testing.TB, dsn string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for {
		conn, err := pgx.Connect(ctx, dsn)
		if err == nil {
			_ = conn.Close(ctx)
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("postgrestest: PgBouncer does not answer: %v", err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}
