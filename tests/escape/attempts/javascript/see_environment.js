// escape: layers=env
console.log(process.env);
if (Object.keys(process.env).some(name => !['PATH', 'HOME', 'LANG'].includes(name))) {
    console.log('ESCAPED');
    process.exit(0);
}
process.exit(1);
