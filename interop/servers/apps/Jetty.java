import java.io.IOException;
import javax.servlet.http.HttpServletRequest;
import javax.servlet.http.HttpServletResponse;
import org.eclipse.jetty.server.Request;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.server.handler.AbstractHandler;

// A receiver. It notes what it was sent, once it has all of it. To /early it answers before it reads.
public class Jetty {
  public static void main(String[] args) throws Exception {
    Server server = new Server();
    ServerConnector connector = new ServerConnector(server);
    connector.setHost("127.0.0.1");
    connector.setPort(Integer.parseInt(System.getenv("PORT")));
    connector.setIdleTimeout(3000);
    server.addConnector(connector);
    server.setHandler(new AbstractHandler() {
      @Override
      public void handle(String target, Request base, HttpServletRequest request, HttpServletResponse response) throws IOException {
        base.setHandled(true);
        if (target.equals("/early")) {
          response.setHeader("Connection", "close");
          response.setStatus(401);
          return;
        }
        Received.note(request.getHeader("X-Alot-Delivery"), request.getInputStream());
        response.setStatus(204);
      }
    });
    server.start();
    server.join();
  }
}
