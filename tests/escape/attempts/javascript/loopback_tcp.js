// escape: layers=network,seccomp
require('net').connect(@PORT@, '127.0.0.1').on('error', () => {});
setTimeout(() => process.exit(1), 300);
