package main

import (
	"fmt"
)

func main() {
	var n, x, s int
	fmt.Scan(&n)
	for i := 0; i < n; i++ {
		fmt.Scan(&x)
		s += x
	}
	fmt.Println(s)
}
