function place(n: number, row = 0, cols = 0, d1 = 0, d2 = 0): number {
    if (row === n)
        return 1;
    let total = 0;
    for (let free = ~(cols | d1 | d2) & ((1 << n) - 1); free; free &= free - 1) {
        const bit = free & -free;
        total += place(n, row + 1, cols | bit, (d1 | bit) << 1, (d2 | bit) >> 1);
    }
    return total;
}
console.log(place(8));
