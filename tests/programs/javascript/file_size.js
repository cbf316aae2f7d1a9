const fs = require("fs");
fs.writeFileSync("/tmp/x", Buffer.alloc(3 << 20));
