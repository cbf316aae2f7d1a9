const x: string[][] = [];
for (;;)
    x.push(new Array(100000).fill("text"));
