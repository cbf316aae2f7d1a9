const fs = require("fs");
for (;;)
    fs.openSync("/dev/null", "r");
