package postgres_test

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/alot/alotwebhook/store/postgres/postgrestest"
)

// pgpool starts a pgpool-II in front of the shared server, and returns the connection string
// through it.
func pgpool(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("pgpool")
	require.NoError(t, err, "install pgpool2")
	dsn, err := url.Parse(postgrestest.DSN(t))
	require.NoError(t, err)
	dir, port, control := t.TempDir(), freePort(t), freePort(t)
	config := filepath.Join(dir, "pgpool.conf")
	require.NoError(t, os.WriteFile(config, []byte(strings.Join([]string{
		"backend_clustering_mode = 'streaming_replication'", // as Debian has it; see docs/databases.md for the others
		"sr_check_period = 0",                               // nothing is replicated here
		"listen_addresses = '127.0.0.1'",
		fmt.Sprint("port = ", port),
		"pcp_listen_addresses = '127.0.0.1'",
		fmt.Sprint("pcp_port = ", control),
		fmt.Sprintf("socket_dir = '%s'", dir),
		fmt.Sprintf("pcp_socket_dir = '%s'", dir),
		fmt.Sprintf("pid_file_name = '%s/pid'", dir),
		fmt.Sprintf("logdir = '%s'", dir),
		fmt.Sprintf("backend_hostname0 = '%s'", dsn.Hostname()),
		"backend_port0 = " + dsn.Port(),
		"num_init_children = 150",
		"max_pool = 1",
		"enable_pool_hba = off",
	}, "\n")+"\n"), 0o600))
	log, err := os.Create(filepath.Join(dir, "log"))
	require.NoError(t, err)
	cmd := exec.Command(path, "-n", "-f", config, "-F", filepath.Join(dir, "pcp.conf"))
	cmd.Stdout, cmd.Stderr = log, log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGQUIT) // at once; "pgpool stop" would wait until somebody has waited for the process
		_ = cmd.Wait()
		require.NoError(t, log.Close())
	})
	dsn.Host = fmt.Sprintf("127.0.0.1:%d", port)
	require.Eventually(t, func() bool {
		conn, err := pgx.Connect(t.Context(), dsn.String())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	}, 10*time.Minute, 50*time.Millisecond, "pgpool does not answer")
	return dsn.String()
}

func freePort(t *testing.T) int {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}
