const fs = require("fs");
// Not process.stdout: what the pipe does not take it keeps in memory, and the memory limit may come first.
for (;;)
    fs.writeSync(1, "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy\n");
