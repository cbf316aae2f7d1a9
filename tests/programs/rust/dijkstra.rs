use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::Read;

fn main() {
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).unwrap();
    let v: Vec<usize> = text.split_whitespace().map(|x| x.parse().unwrap()).collect();
    let n = v[0];
    let mut graph = vec![vec![]; n + 1];
    for edge in v[2..].chunks(3) {
        graph[edge[0]].push((edge[1], edge[2]));
        graph[edge[1]].push((edge[0], edge[2]));
    }
    let mut best = vec![usize::MAX; n + 1];
    let mut queue = BinaryHeap::new();
    best[1] = 0;
    queue.push(Reverse((0, 1)));
    while let Some(Reverse((d, at))) = queue.pop() {
        if d > best[at] {
            continue;
        }
        for &(to, w) in &graph[at] {
            if d + w < best[to] {
                best[to] = d + w;
                queue.push(Reverse((d + w, to)));
            }
        }
    }
    let out: Vec<String> = best[1..].iter().map(|x| x.to_string()).collect();
    println!("{}", out.join(" "));
}
