// npm run build: compiles src to dist.
import { build, install } from "./prepare.mjs";

install();
build({ force: true });
