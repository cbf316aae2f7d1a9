// escape: layers=network,seccomp
const net: any = require('net');
net.connect(@PORT@ as number, '127.0.0.1').on('error', (): void => {});
setTimeout(() => process.exit(1), 300);
