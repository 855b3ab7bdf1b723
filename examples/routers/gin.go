package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Gin mounts the service behind github.com/gin-gonic/gin. To mount only a Receiver, use
// router.Any(Path, gin.WrapH(receiver)).
func Gin(s *Service) http.Handler {
	router := gin.New()
	router.Any(Path, ginMiddleware(s.Receiver.Middleware), func(c *gin.Context) {
		c.Status(s.receive(c.Request.Context()))
	})
	return router
}

// ginMiddleware adapts a middleware of net/http to gin. If that does not call the next
// handler, gin must not call it, either.
func ginMiddleware(m func(http.Handler) http.Handler) gin.HandlerFunc {
	return func(c *gin.Context) {
		called := false
		m(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			called = true
			c.Request = r
			c.Next()
		})).ServeHTTP(c.Writer, c.Request)
		if !called {
			c.Abort()
		}
	}
}
