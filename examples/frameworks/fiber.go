package frameworks

import (
	"time"

	"github.com/gofiber/fiber/v3"
	"github.com/gofiber/fiber/v3/middleware/adaptor"

	"github.com/alot/alotwebhook"
)

// Fiber mounts a Receiver behind fiber, whose requests are those of fasthttp. BodyTimeout cannot work there: fiber
// reads the whole body first, within its own bounds of time and size.
func Fiber(r *alotwebhook.Receiver) *fiber.App {
	app := fiber.New(fiber.Config{
		ReadTimeout: 15 * time.Second,
		BodyLimit:   alotwebhook.DefaultMaxBodyBytes,
	})
	app.All(Path, adaptor.HTTPHandler(r))
	return app
}
