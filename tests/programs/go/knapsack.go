package main

import (
	"fmt"
)

func main() {
	var n, c int
	fmt.Scan(&n, &c)
	best := make([]int, c+1)
	for ; n > 0; n-- {
		var w, v int
		fmt.Scan(&w, &v)
		for i := c; i >= w; i-- {
			if best[i-w]+v > best[i] {
				best[i] = best[i-w] + v
			}
		}
	}
	fmt.Println(best[c])
}
