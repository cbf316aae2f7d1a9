let f = BigInt(1);
for (let i: number = 2; i <= 150; i++)
    f *= BigInt(i);
console.log(f.toString());
