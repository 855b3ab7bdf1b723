package routers

import (
	"net/http"

	"github.com/gin-gonic/gin"
)

// Gin is github.com/gin-gonic/gin. A Receiver alone: router.Any(Path, gin.WrapH(receiver)).
func Gin(s *Service) http.Handler {
	router := gin.New()
	router.Any(Path, ginMiddleware(s.Receiver.Middleware), func(c *gin.Context) {
		c.Status(s.receive(c.Request.Context()))
	})
	return router
}

// ginMiddleware makes gin's form of a middleware out of net/http's. Where that
// does not call the next handler, gin must not either.
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
