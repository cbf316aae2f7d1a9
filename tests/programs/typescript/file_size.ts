import * as fs from "fs";
fs.writeFileSync("/tmp/x", Buffer.alloc(3 << 20));
