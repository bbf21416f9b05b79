//! Plots of the figures, in `docs/plots`.

use std::error::Error;

use plotters::coord::Shift;
use plotters::prelude::*;
use tollgate_tests::stores::Kind;

use crate::decisions::steady::Row;
use crate::report;
use crate::stores;

const SIZE: (u32, u32) = (760, 360);
const COLORS: [RGBColor; 4] = [
    RGBColor(0x2b, 0x6c, 0xb0),
    RGBColor(0x9a, 0xa5, 0xb1),
    RGBColor(0xd9, 0x77, 0x06),
    RGBColor(0x2f, 0x85, 0x5a),
];

type Drawn = Result<(), Box<dyn Error>>;

/// The times of a steady decision: for each percentile a group of bars, one for each row.
pub(crate) fn steady(kind: Kind, rows: &[Row]) {
    let file = match kind {
        Kind::Embedded => "steady-embedded.svg",
        Kind::DynamodbLocal => "steady-dynamodb-local.svg",
    };
    draw(file, |area| {
        let highest = rows.iter().flat_map(figures).fold(0.0, f64::max);
        let top = highest * 1.4;
        let title = format!("One steady decision, {}: milliseconds", stores::name(kind));
        let mut chart = ChartBuilder::on(area)
            .caption(title, ("sans-serif", 18))
            .margin(12)
            .x_label_area_size(28)
            .y_label_area_size(40)
            .build_cartesian_2d(0.0..3.0, 0.0..top)?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .disable_x_axis()
            .light_line_style(WHITE)
            .draw()?;
        bars(&mut chart, rows)?;
        names(&mut chart, rows, top)?;
        legend(&mut chart, SeriesLabelPosition::UpperLeft)
    });
}

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Chart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

fn figures(row: &Row) -> [f64; 3] {
    [row.steady.p50, row.steady.p95, row.steady.p99]
}

fn bars<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>, rows: &[Row]) -> Drawn {
    let width = 0.8 / f64::from(u32::try_from(rows.len())?);
    for ((row, color), place) in rows.iter().zip(COLORS).zip(0u32..) {
        let bars = figures(row).into_iter().zip(0u32..).map(|(height, group)| {
            let left = f64::from(group) + 0.1 + width * f64::from(place);
            Rectangle::new([(left, 0.0), (left + width * 0.9, height)], color.filled())
        });
        chart
            .draw_series(bars)?
            .label(row.name.clone())
            .legend(move |(x, y)| Rectangle::new([(x, y - 5), (x + 12, y + 5)], color.filled()));
    }
    Ok(())
}

/// The name of each group, over its highest bar.
fn names<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>, rows: &[Row], top: f64) -> Drawn {
    for (place, name) in ["p50", "p95", "p99"].into_iter().enumerate() {
        let heights = rows.iter().map(|row| figures(row)[place]);
        let highest = heights.fold(0.0, f64::max);
        let at = (
            f64::from(u32::try_from(place)?) + 0.45,
            highest + top * 0.06,
        );
        let text = Text::new(name, at, ("sans-serif", 15));
        chart.draw_series([text])?;
    }
    Ok(())
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>, position: SeriesLabelPosition) -> Drawn {
    chart
        .configure_series_labels()
        .position(position)
        .background_style(WHITE.mix(0.8))
        .label_font(("sans-serif", 14))
        .draw()?;
    Ok(())
}

fn draw(file: &str, picture: impl FnOnce(&Area<'_>) -> Drawn) {
    let path = report::page("plots");
    std::fs::create_dir_all(&path).expect("docs can be written");
    let path = path.join(file);
    let area = SVGBackend::new(&path, SIZE).into_drawing_area();
    let drawn = area.fill(&WHITE).map_err(Into::into);
    let drawn = drawn.and_then(|()| picture(&area));
    drawn.expect("a picture");
    area.present().expect("docs can be written");
}
