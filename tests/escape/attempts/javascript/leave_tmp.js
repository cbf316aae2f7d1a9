// escape: layers=fresh runs=3
const fs = require('fs');
if (fs.existsSync('/tmp/left')) {
    console.log('ESCAPED');
    process.exit(0);
}
fs.writeFileSync('/tmp/left', 'left');
process.exit(1);
