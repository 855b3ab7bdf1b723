import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;

// What the receivers in Java note.
class Received {
  static void note(String delivery, InputStream body) throws IOException {
    long size = body.transferTo(OutputStream.nullOutputStream());
    String line = (delivery == null ? "-" : delivery) + " " + size + "\n";
    Files.writeString(Path.of(System.getenv("ALOT_LOG")), line, StandardOpenOption.APPEND);
  }
}
