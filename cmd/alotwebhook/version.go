package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// version is the line that --version prints. The go command stamps the version
// into the program: the release for "go install …@v0.1.0", the commit for a build
// in a clone, and "(devel)" where it knows neither, as for "go run" or a test.
func version(info *debug.BuildInfo, ok bool) string {
	v := "(devel)"
	if ok && info.Main.Version != "" {
		v = info.Main.Version
	}
	return fmt.Sprintf("alotwebhook %s %s %s/%s", v, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
