//! In which order the targets of a service are tried (RFC 2782).

use spondee_core::port::Service;

/// Puts services into the order in which a client tries them: by priority, and by chance among those of one priority, in proportion to their weights.
/// `draw` gives a number from 0 to the one that it is given, both included, each as often as any other.
#[must_use]
pub fn order(mut services: Vec<Service>, draw: &mut dyn FnMut(u32) -> u32) -> Vec<Service> {
    // RFC 2782, "Weight": those of weight 0 stand first, so that they are drawn now and then.
    services.sort_by_key(|service| (service.priority, service.weight != 0));
    let mut ordered = Vec::with_capacity(services.len());
    while let Some(first) = services.first() {
        let priority = first.priority;
        let those = services.iter().take_while(|s| s.priority == priority);
        let sum = those.map(|service| u32::from(service.weight)).sum();
        let drawn = draw(sum);
        let mut running = 0;
        let place = services.iter().position(|service| {
            running += u32::from(service.weight);
            running >= drawn
        });
        ordered.push(services.remove(place.unwrap_or(0)));
    }
    ordered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(priority: u16, weight: u16, target: &str) -> Service {
        Service {
            priority,
            weight,
            port: 5269,
            target: target.into(),
        }
    }

    fn names(services: &[Service]) -> Vec<String> {
        services.iter().map(|s| s.target.to_string()).collect()
    }

    #[test]
    fn lower_priorities_go_first_whatever_the_dice_say() {
        for drawn in [0, u32::MAX] {
            let services = vec![
                service(20, 900, "c.example"),
                service(10, 0, "b.example"),
                service(5, 1, "a.example"),
            ];
            let ordered = order(services, &mut |most| drawn.min(most));
            assert_eq!(names(&ordered), ["a.example", "b.example", "c.example"]);
        }
    }

    #[test]
    fn weights_say_how_often_each_goes_first() {
        let mut seed: u64 = 7;
        let mut draw = |most: u32| {
            seed = seed
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            u32::try_from((seed >> 33) % (u64::from(most) + 1)).unwrap()
        };
        let mut first = [0_u32; 3];
        for _ in 0..10_000 {
            let services = vec![
                service(1, 60, "a.example"),
                service(1, 30, "b.example"),
                service(1, 0, "c.example"),
            ];
            let ordered = order(services, &mut draw);
            assert_eq!(ordered.len(), 3);
            let place = ["a.example", "b.example", "c.example"]
                .iter()
                .position(|name| &*ordered[0].target == *name);
            first[place.unwrap()] += 1;
        }
        let [a, b, c] = first;
        assert!((6_300..6_900).contains(&a), "{first:?}");
        assert!((3_000..3_600).contains(&b), "{first:?}");
        // RFC 2782: "a very small chance of being selected first".
        assert!((1..300).contains(&c), "{first:?}");
    }
}
