package routers

import (
	"net/http"

	"github.com/labstack/echo/v4"
	echo5 "github.com/labstack/echo/v5"
)

// Echo mounts the service behind github.com/labstack/echo/v4. To mount only a Receiver, use
// e.Any(Path, echo.WrapHandler(receiver)).
func Echo(s *Service) http.Handler {
	e := echo.New()
	e.Any(Path, func(c echo.Context) error {
		return c.NoContent(s.receive(c.Request().Context()))
	}, echo.WrapMiddleware(s.Receiver.Middleware))
	return e
}

// Echo5 mounts the service behind github.com/labstack/echo/v5, where a context is a pointer
// to a struct.
func Echo5(s *Service) http.Handler {
	e := echo5.New()
	e.Any(Path, func(c *echo5.Context) error {
		return c.NoContent(s.receive(c.Request().Context()))
	}, echo5.WrapMiddleware(s.Receiver.Middleware))
	return e
}
