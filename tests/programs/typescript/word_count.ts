import * as fs from "fs";
const count = new Map<string, number>();
for (const word of fs.readFileSync(0, "utf8").trim().split(/\s+/))
    count.set(word, (count.get(word) || 0) + 1);
for (const [word, n] of [...count].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)))
    console.log(word, n);
