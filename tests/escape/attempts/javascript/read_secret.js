// escape: layers=view
const fs = require('fs');
try { console.log(fs.readFileSync('/..@DIR@/secret', 'utf8')); } catch (e) {}
setTimeout(() => process.exit(1), 300);
