// escape: layers=view
console.log('compiled');
process.exit(1);
@@FILE tsconfig.json
{"extends": "/..@DIR@/secret"}
