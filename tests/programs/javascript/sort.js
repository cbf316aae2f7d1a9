const fs = require("fs");
const values = fs.readFileSync(0, "utf8").trim().split(/\s+/).map(Number).slice(1);
values.sort((a, b) => a - b);
console.log(values.join(" "));
