import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import java.util.List;

/** A MongoDB-compatible server for tests: {@code TestMongoServer PORT FOLDER}. Ends, with its data saved, on SIGTERM. */
public final class TestMongoServer {
  public static void main(String[] arguments) {
    H2Backend backend = new H2Backend(arguments[1] + "/data.mv");
    // The library announces wire version 8 at most; the Node driver talks to 9 and above.
    backend.version(
        new MongoVersion() {
          @Override
          public int getWireVersion() {
            return 21;
          }

          @Override
          public List<Integer> getVersionArray() {
            return List.of(7, 0, 0);
          }
        });
    MongoServer server = new MongoServer(backend);
    Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
    server.bind("127.0.0.1", Integer.parseInt(arguments[0]));
  }
}
