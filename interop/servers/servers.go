package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
)

// errMissing is the error of a server that is not installed.
var errMissing = errors.New("is not installed")

// server says how to run a web server. Its texts may have the words {PORT} and {DIR}.
type server struct {
	name     string
	version  []string // a command that prints it
	files    []string // of the folder apps, which are templates of a place
	before   []string // a command that ends before the others begin
	commands [][]string
	tls      bool
	path     string // of the program, if it is not in $PATH
	jars     string // of a server in Java, with colons between them

	number string // the version, once it was asked for
}

func (s *server) title() string { return strings.TrimSpace(s.name + " " + s.number) }

var gunicorn = []string{"gunicorn", "--bind", "127.0.0.1:{PORT}", "--log-level", "error", "--workers", "2"}

var uvicorn = []string{"uvicorn", "app:asgi", "--host", "127.0.0.1", "--port", "{PORT}", "--log-level", "error", "--http"}

const waitressVersion = "from importlib.metadata import version; print(version('waitress'))"

// all are the servers. Where a server keeps idle connections for more than some seconds, its own option
// makes that three.
var all = []server{
	{name: "nginx", version: []string{"nginx", "-v"}, files: []string{"nginx.conf"}, commands: [][]string{{"nginx", "-c", "{DIR}/nginx.conf", "-p", "{DIR}"}}},
	{name: "nginx, https", tls: true, version: []string{"nginx", "-v"}, files: []string{"nginx.conf"}, commands: [][]string{{"nginx", "-c", "{DIR}/nginx.conf", "-p", "{DIR}"}}},
	{
		name: "PHP-FPM behind nginx", version: []string{"php-fpm8.2", "-v"}, files: []string{"nginx-php.conf", "fpm.conf", "app.php"},
		commands: [][]string{{"php-fpm8.2", "-F", "-y", "{DIR}/fpm.conf"}, {"nginx", "-c", "{DIR}/nginx-php.conf", "-p", "{DIR}"}},
	},
	{name: "PHP's own", version: []string{"php", "-v"}, files: []string{"app.php"}, commands: [][]string{{"php", "-d", "log_errors=0", "-q", "-S", "127.0.0.1:{PORT}", "{DIR}/app.php"}}},
	{name: "Apache", version: []string{"apache2", "-v"}, files: []string{"apache.conf"}, commands: [][]string{{"apache2", "-f", "{DIR}/apache.conf", "-DFOREGROUND"}}},
	{name: "HAProxy", version: []string{"haproxy", "-v"}, files: []string{"haproxy.cfg"}, commands: [][]string{{"haproxy", "-db", "-f", "{DIR}/haproxy.cfg"}}},
	{name: "HAProxy, https", tls: true, version: []string{"haproxy", "-v"}, files: []string{"haproxy.cfg"}, commands: [][]string{{"haproxy", "-db", "-f", "{DIR}/haproxy.cfg"}}},
	{name: "Caddy", version: []string{"caddy", "version"}, files: []string{"Caddyfile"}, commands: [][]string{{"caddy", "run", "--config", "{DIR}/Caddyfile", "--adapter", "caddyfile"}}},
	{name: "lighttpd", version: []string{"lighttpd", "-v"}, files: []string{"lighttpd.conf"}, commands: [][]string{{"lighttpd", "-D", "-f", "{DIR}/lighttpd.conf"}}},
	{name: "Varnish", version: []string{"varnishd", "-V"}, files: []string{"varnish.vcl"}, commands: [][]string{{"varnishd", "-F", "-n", "{DIR}/varnish", "-a", "127.0.0.1:{PORT}", "-f", "{DIR}/varnish.vcl", "-s", "malloc,64m", "-p", "timeout_idle=3"}}},
	{name: "gunicorn, sync", version: []string{"gunicorn", "--version"}, files: []string{"app.py"}, commands: [][]string{append(gunicorn[:len(gunicorn):len(gunicorn)], "app")}},
	{name: "gunicorn, gthread", version: []string{"gunicorn", "--version"}, files: []string{"app.py"}, commands: [][]string{append(gunicorn[:len(gunicorn):len(gunicorn)], "--worker-class", "gthread", "--threads", "16", "app")}},
	{name: "uvicorn, httptools", version: []string{"uvicorn", "--version"}, files: []string{"app.py"}, commands: [][]string{append(uvicorn[:len(uvicorn):len(uvicorn)], "httptools")}},
	{name: "uvicorn, h11", version: []string{"uvicorn", "--version"}, files: []string{"app.py"}, commands: [][]string{append(uvicorn[:len(uvicorn):len(uvicorn)], "h11")}},
	{name: "waitress", version: []string{"/usr/bin/python3", "-c", waitressVersion}, files: []string{"app.py"}, commands: [][]string{{"waitress-serve", "--listen=127.0.0.1:{PORT}", "--channel-timeout=3", "--cleanup-interval=1", "app:application"}}},
	{name: "Puma", version: []string{"puma", "--version"}, files: []string{"config.ru", "puma.rb"}, commands: [][]string{{"puma", "--quiet", "--config", "{DIR}/puma.rb"}}},
	onJava("Jetty", "Jetty", jetty, []string{"-Dorg.eclipse.jetty.util.log.announce=false", "-cp", jetty, "org.eclipse.jetty.server.Server"}),
	onJava("Tomcat", "Tomcat", tomcat, []string{"-cp", tomcat, "org.apache.catalina.util.ServerInfo"}),
	onJava("the JDK's own", "Jdk", "", []string{"-version"}, "-Dsun.net.httpserver.idleInterval=3"),
	node(""),
}

// Where Debian's packages libjetty9-java, libtomcat10-embed-java and libtomcat10-java put them.
const (
	jetty = "/usr/share/java/jetty9-server.jar:/usr/share/java/jetty9-http.jar:/usr/share/java/jetty9-io.jar:" +
		"/usr/share/java/jetty9-util.jar:/usr/share/java/servlet-api.jar"
	tomcat = "/usr/share/java/tomcat10-embed-core.jar:/usr/share/java/tomcat10-annotations-api.jar"
)

// onJava is a server in Java, of whose program class is the main class.
func onJava(name, class, jars string, version []string, options ...string) server {
	compile := []string{"javac", "-d", "{DIR}", "-cp", jars, "{DIR}/" + class + ".java", "{DIR}/Received.java"}
	run := append(append([]string{"java"}, options...), "-cp", "{DIR}:"+jars, class, "{DIR}")
	return server{
		name: name, version: append([]string{"java"}, version...), files: []string{class + ".java", "Received.java"},
		jars: jars, before: compile, commands: [][]string{run},
	}
}

// node is the server of Node; path is empty for that of $PATH.
func node(path string) server {
	return server{name: "Node", path: path, version: []string{"node", "--version"}, files: []string{"app.mjs"}, commands: [][]string{{"node", "{DIR}/app.mjs"}}}
}

// servers returns those that are asked for, with their versions. clean removes what was fetched.
func (o *options) servers(ctx context.Context) (list []server, clean func(), err error) {
	clean = func() {}
	known := all
	if o.node != "" {
		dir, err := os.MkdirTemp("", "alot-node-")
		if err != nil {
			return nil, clean, err
		}
		clean = func() { _ = os.RemoveAll(dir) }
		for version := range strings.SplitSeq(o.node, ",") {
			folder := filepath.Join(dir, version)
			install := exec.CommandContext(ctx, "npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", folder, "node@"+version)
			if said, err := install.CombinedOutput(); err != nil {
				return nil, clean, fmt.Errorf("npm install node@%s: %w: %s", version, err, said)
			}
			known = append(known[:len(known):len(known)], node(filepath.Join(folder, "node_modules", "node", "bin")))
		}
	}
	for _, s := range known {
		if o.wants(s.name) {
			s.number = s.ask(ctx)
			list = append(list, s)
		}
	}
	if len(list) == 0 {
		return nil, clean, fmt.Errorf("-only: there is no server %q", o.only)
	}
	return list, clean, nil
}

var number = regexp.MustCompile(`\d+(\.\d+)+`)

// ask returns the version of a server, or "".
func (s *server) ask(ctx context.Context) string {
	program, err := s.find(s.version[0])
	if err != nil {
		return ""
	}
	said, _ := exec.CommandContext(ctx, program, s.version[1:]...).CombinedOutput()
	return number.FindString(string(said))
}

// missing is the error of what is not installed that the server needs.
func (s *server) missing() error {
	commands := s.commands
	if s.before != nil {
		commands = append(commands[:len(commands):len(commands)], s.before)
	}
	for _, command := range commands {
		if _, err := s.find(command[0]); err != nil {
			return err
		}
	}
	for jar := range strings.SplitSeq(s.jars, ":") {
		if _, err := os.Stat(jar); jar != "" && err != nil {
			return fmt.Errorf("%s %w", jar, errMissing)
		}
	}
	return nil
}

// find returns the path of a program, which Debian keeps where only root looks.
func (s *server) find(program string) (string, error) {
	for _, dir := range []string{s.path, "/usr/sbin"} {
		if path := filepath.Join(dir, program); dir != "" {
			if _, err := os.Stat(path); err == nil {
				return path, nil
			}
		}
	}
	path, err := exec.LookPath(program)
	if err != nil {
		return "", fmt.Errorf("%s %w", program, errMissing)
	}
	return path, nil
}
