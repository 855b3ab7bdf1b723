package settings

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"
)

//go:embed static/*.css static/*.js
var staticFiles embed.FS

// assets are the files that the pages load. The name of a file holds a hash of its
// content, so that a browser may keep the file for ever.
type assets struct {
	byName map[string]asset  // by names such as "pages.0123456789ab.css"
	named  map[string]string // these names, by names such as "pages.css"
}

// asset is a file that the pages load.
type asset struct {
	contentType   string
	plain, packed []byte // the content, and the same in gzip
}

// loadAssets returns the files, which all handlers of a process share.
var loadAssets = sync.OnceValues(packAssets)

func packAssets() (*assets, error) {
	a := &assets{byName: map[string]asset{}, named: map[string]string{}}
	files, err := staticFiles.ReadDir("static")
	if err != nil {
		return nil, fmt.Errorf("alotwebhook: settings: %w", err)
	}
	for _, file := range files {
		plain, err := staticFiles.ReadFile("static/" + file.Name())
		if err != nil {
			return nil, fmt.Errorf("alotwebhook: settings: %w", err)
		}
		sum, extension := sha256.Sum256(plain), path.Ext(file.Name())
		name := strings.TrimSuffix(file.Name(), extension) + "." + hex.EncodeToString(sum[:6]) + extension
		a.named[file.Name()] = name
		a.byName[name] = asset{staticType(extension), plain, pack(plain)}
	}
	return a, nil
}

// staticType returns the content type of a file. It does not use the table of the
// operating system, which an administrator can change.
func staticType(extension string) string {
	if extension == ".css" {
		return mime.FormatMediaType("text/css", map[string]string{"charset": "utf-8"})
	}
	return mime.FormatMediaType("text/javascript", map[string]string{"charset": "utf-8"})
}

// pack compresses a file.
func pack(plain []byte) []byte {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is valid
	_, _ = z.Write(plain)                                      // a buffer accepts every write
	_ = z.Close()
	return packed.Bytes()
}

// serve sends a file. The files are the same for everybody, so serving one needs no
// authentication.
func (a *assets) serve(w http.ResponseWriter, r *http.Request, name string) {
	file, ok := a.byName[name]
	if !ok || r.Method != http.MethodGet && r.Method != http.MethodHead {
		http.NotFound(w, r)
		return
	}
	body, h := file.plain, w.Header()
	if takesGzip(r) {
		body = file.packed
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", file.contentType)
	h.Set("Cache-Control", "public, max-age=31536000, immutable")
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(body))
}
