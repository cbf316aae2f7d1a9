// escape: layers=view
const fs: any = require('fs');
try { console.log(fs.readFileSync('/..@DIR@/secret', 'utf8') as string); } catch (e) {}
setTimeout(() => process.exit(1), 300);
