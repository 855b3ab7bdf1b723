import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

// A receiver. It notes what it was sent, once it has all of it. To /early it answers before it reads.
public class Jdk {
  public static void main(String[] args) throws Exception {
    HttpServer server = HttpServer.create(new InetSocketAddress("127.0.0.1", Integer.parseInt(System.getenv("PORT"))), 0);
    server.setExecutor(Executors.newCachedThreadPool());
    server.createContext("/", exchange -> {
      if (exchange.getRequestURI().getPath().equals("/early")) {
        exchange.getResponseHeaders().set("Connection", "close");
        exchange.sendResponseHeaders(401, -1);
      } else {
        Received.note(exchange.getRequestHeaders().getFirst("X-Alot-Delivery"), exchange.getRequestBody());
        exchange.sendResponseHeaders(204, -1);
      }
      exchange.close();
    });
    server.start();
  }
}
