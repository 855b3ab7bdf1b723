import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import org.apache.catalina.Context;
import org.apache.catalina.connector.Connector;

// A receiver. It notes what it was sent, once it has all of it. To /early it answers before it reads.
public class Tomcat {
  public static void main(String[] args) throws Exception {
    org.apache.catalina.startup.Tomcat tomcat = new org.apache.catalina.startup.Tomcat();
    tomcat.setBaseDir(args[0]);
    Connector connector = new Connector();
    connector.setPort(Integer.parseInt(System.getenv("PORT")));
    connector.setProperty("address", "127.0.0.1");
    connector.setProperty("keepAliveTimeout", "3000");
    connector.setProperty("maxKeepAliveRequests", "-1");
    tomcat.setConnector(connector);
    Context context = tomcat.addContext("", null);
    org.apache.catalina.startup.Tomcat.addServlet(context, "receiver", new HttpServlet() {
      @Override
      protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
        if (request.getRequestURI().equals("/early")) {
          response.setHeader("Connection", "close");
          response.setStatus(401);
          return;
        }
        Received.note(request.getHeader("X-Alot-Delivery"), request.getInputStream());
        response.setStatus(204);
      }
    });
    context.addServletMappingDecoded("/", "receiver");
    tomcat.start();
    tomcat.getServer().await();
  }
}
