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
	"time"
)

//go:embed static/*.css static/*.js
var staticFiles embed.FS

// assets are the files that the pages load. Each name carries a hash of the
// content, so that a browser may keep the file for ever.
type assets struct {
	byName map[string]asset  // "pages.0123456789ab.css"
	named  map[string]string // "pages.css" to that
}

type asset struct {
	contentType   string
	plain, packed []byte
}

func loadAssets() (*assets, error) {
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

// staticType does not ask the system's table, which may say anything.
func staticType(extension string) string {
	if extension == ".css" {
		return mime.FormatMediaType("text/css", map[string]string{"charset": "utf-8"})
	}
	return mime.FormatMediaType("text/javascript", map[string]string{"charset": "utf-8"})
}

func pack(plain []byte) []byte {
	var packed bytes.Buffer
	z, _ := gzip.NewWriterLevel(&packed, gzip.BestCompression) // the level is a valid one
	_, _ = z.Write(plain)                                      // a buffer takes everything
	_ = z.Close()
	return packed.Bytes()
}

// serve sends a file. It is the same for everybody, so nobody is asked who they are.
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
