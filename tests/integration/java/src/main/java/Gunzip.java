import java.io.FileInputStream;
import java.util.zip.GZIPInputStream;

/** Inflates one gzip file to standard output. */
public final class Gunzip {
  public static void main(String[] arguments) throws Exception {
    try (GZIPInputStream input = new GZIPInputStream(new FileInputStream(arguments[0]))) {
      input.transferTo(System.out);
    }
    System.out.flush();
  }
}
