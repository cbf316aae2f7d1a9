const fs = require("fs");
const values = fs.readFileSync(0, "utf8").split(/\s+/).filter(Boolean).map(Number);
console.log(values.slice(1).reduce((a, b) => a + b, 0));
