// npm run build: compiles src to dist, and the client in sdk/.
import { build, buildSdk, install } from "./prepare.mjs";

install();
build({ force: true });
buildSdk({ force: true });
